/** Replaces OHIF 3.13's own configuration: one origin with Orthanc's DICOMweb, SEG and SR shown without a question. */
window.config = {
  name: 'habitus',
  routerBasename: null,
  showStudyList: true,
  extensions: [],
  modes: [],
  // A SEG that is opened is shown, not asked for.
  disableConfirmationPrompts: true,
  customizationService: [{
    // The tour of eleven steps covers the images on the first visit.
    'ohif.tours': { $set: [] },
    'panelSegmentation.disableEditing': { $set: true },
  }],
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: true,
  showLoadingIndicator: true,
  strictZSpacingForVolumeViewport: true,
  // OHIF's own notice would ask on every visit; each Habitus object says "for research use" itself.
  investigationalUseDialog: { option: 'never' },
  modesConfiguration: {
    // The mode of the route /viewer; immutability-helper commands.
    '@ohif/mode-longitudinal': {
      activatePanelTriggers: { $set: [{
        panelId: '@ohif/extension-cornerstone.panelModule.panelSegmentation',
        sourceServiceName: 'segmentationService',
        sourceEvents: ['SEGMENTATION_ADDED'],
      }] },
      routes: { 0: { layoutInstance: { props: { rightPanelClosed: { $set: false } } } } },
    },
  },
  maxNumberOfWebWorkers: 3,
  maxNumRequests: { interaction: 100, thumbnail: 5, prefetch: 25 },
  defaultDataSourceName: 'orthanc',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
    sourceName: 'orthanc',
    configuration: {
      friendlyName: 'Orthanc',
      name: 'orthanc',
      qidoRoot: '/dicom-web',
      wadoRoot: '/dicom-web',
      wadoUriRoot: '/wado',
      // Without it the study list shows "No Description".
      qidoSupportsIncludeField: true,
      imageRendering: 'wadors',
      thumbnailRendering: 'wadors',
      enableStudyLazyLoad: true,
      supportsFuzzyMatching: false,
      supportsWildcard: true,
      omitQuotationForMultipartRequest: true,
      bulkDataURI: { enabled: true },
    },
  }],
};
